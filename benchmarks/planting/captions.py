"""Faults of captions. Each takes a caption and a generator of its own pair, and gives its kind and the faulty text."""

import numpy as np

Faulty = tuple[str, str]

# Alt texts and captions as cameras, phones, page builders and shops leave them; # is a digit. The signal's words were
# completed from what it missed of FIRST; SECOND was written before that and not looked at for it.
_WRITTEN = (
    "image|Image|IMAGE|photo|Photo|picture|Picture #|img|pic|image#|Image ##|photo #|IMG_####.JPG|IMG_####.jpg|"
    "IMG_####|DSC_####.JPG|DSC0####|DSCN####.jpg|P10#####|PICT####.JPG|GOPR####.JPG|IMG_20######_######|"
    "_MG_####.jpg|WhatsApp Image 20##-##-## at ##.##.##|Screenshot 20##-##-## at ##.##.##|"
    "Screen Shot 20##-##-## at ##.##.## PM|Screenshot_20######-######|image.png|image (#).png|photo.jpeg|"
    "untitled|Untitled-#|untitled.png|Untitled design|unnamed|unnamed.jpg|thumbnail|Thumbnail image|"
    "No image available|No photo available|Image not found|Image not available|Image unavailable|"
    "Image coming soon|No description available|no caption|No caption available|Add a caption|Enter a caption|"
    "Insert image here|Your image here|placeholder|placeholder image|Image placeholder|default image|"
    "default-image.png|product image|Product Image #|main image|featured image|Featured Image|header image|"
    "hero image|Cover image|cover photo|profile picture|Profile photo|user avatar|Avatar of user|"
    "background image|banner image|Banner|logo|Logo image|site logo|icon|spacer.gif|blank.gif|pixel.gif|"
    "loading...|Loading image|Click to enlarge|Click image to enlarge|Click here for larger image|"
    "View full size image|Open image in new tab|Click for full size|Zoom image|Enlarge|Read more|"
    "Share this image|null|undefined|None|N/A|nan|[image]|(image)|<image>|image of|photo of|A picture|an image|"
    "This is an image|the photo|Stock photo|stock image|Stock illustration|slide #|Slide ## of ##|"
    "gallery image #|Gallery photo ##|image-asset.jpeg|file-####.jpg|download.png|download (#).jpg|"
    "a1b#c#d#-e##f.jpg|################.jpg|https://example.com/images/####.jpg|www.example.com|Figure #|Fig. #|"
    "figure ##|alt text|Alt|title|caption|Image may contain text|Image may contain: one or more people|"
    "Lorem ipsum dolor sit amet"
)
_FURTHER = (
    "Photo credit|Picture not available|Photo not found|this picture|IMG-20######-WA00##|"
    "received_##########.jpeg|Photo Gallery|View larger image|Tap to zoom|Swipe for more|Upload image|"
    "Choose file|My photo|post image|blog image|article image|Card image cap|Slide image|carousel image|"
    "Generic placeholder image|First slide|Responsive image|img-fluid|Photo by Unsplash|Image by Author|"
    "Image credit: Getty Images|Video thumbnail|Play video|Facebook|logo.svg|CAM00###.jpg|100_####.JPG|"
    "DJI_0###.JPG|PXL_20######_#########.jpg|20######_######.jpg|Photo ##-##-20##, ## ## ##|FullSizeRender.jpg|"
    "image0.jpeg|Capture.PNG|Click to view|See full image|Image preview|preview image|New image"
)
FIRST, SECOND = tuple(_WRITTEN.split("|")), tuple(_FURTHER.split("|"))
# What leaves nothing readable: nothing, blanks of several kinds, and entities and marks that stand for them.
EMPTY = ("", " ", "\u00a0", "&nbsp;", " \t ", "\u3000", "\u200b", "&nbsp;&nbsp;", "\ufeff")
STUFFED = (2, 5)  # numbers put into a caption, from and up to


def placeholder(caption: str, draw: np.random.Generator) -> Faulty:
    """One of FIRST or SECOND with digits drawn."""
    how = "first list" if draw.random() < len(FIRST) / len(FIRST + SECOND) else "second list"
    text = str(draw.choice(FIRST if how == "first list" else SECOND))
    return how, "".join(str(draw.integers(10)) if c == "#" else c for c in text)


def empty(caption: str, draw: np.random.Generator) -> Faulty:
    """One of EMPTY."""
    return "", str(draw.choice(np.array(EMPTY, object)))


def stuffed(caption: str, draw: np.random.Generator) -> Faulty:
    """The caption with numbers of two to six digits between, before and after its words."""
    words = caption.split()
    for _ in range(int(draw.integers(STUFFED[0], STUFFED[1] + 1))):
        number = str(draw.integers(10, 10 ** int(draw.integers(2, 7))))
        words.insert(int(draw.integers(len(words) + 1)), number)
    return "", " ".join(words)


def respaced(caption: str, draw: np.random.Generator) -> str:
    """The same words with other blanks, so that the text is another one until it is cleaned."""
    blanks = ("  ", "\u00a0", " &nbsp;", "\t ")
    words = caption.split()
    return words[0] + "".join(str(draw.choice(np.array(blanks, object))) + word for word in words[1:])


def swapped(captions: list[str]) -> list[str]:
    """Each caption's place taken by another one of them that is another text, the next in line where there is one."""
    given = []
    for place, own in enumerate(captions):
        others = captions[place + 1 :] + captions[:place]
        given.append(next((other for other in others if other.lower() != own.lower()), own))
    return given
