"""The commands and environments that figures are made of, from LaTeX, its common packages and journals' classes."""

from curation.sources.latex.scan import names

# One graphics file in the first group behind the options (graphicx, adjustbox, tcolorbox, svg, pgf, epsf, epstopdf).
GRAPHICS = names(
    "includegraphics Includegraphics adjincludegraphics tcbincludegraphics includesvg pgfimage epsfbox epsffile "
    "includestandalone plotone plotfiddle"
)
KEYED_GRAPHICS = frozenset(("epsfig", "psfig"))  # file= or figure= among the keys of the group
SECOND_GRAPHICS = frozenset(("adjustimage",))  # {keys}{file}
TWO_GRAPHICS = frozenset(("plottwo",))  # AASTeX
CAPTIONED_GRAPHICS = frozenset(("fig", "leftfig", "rightfig", "boxedfig"))  # AASTeX 6: {file}{width}{caption}
GRAPHICS_ENVIRONMENTS = frozenset(("overpic",))  # \begin{overpic}[options]{file}

CAPTIONS = names(  # [list entry]{text}
    "caption captionabove captionbelow figcaption topcaption bottomcaption fcaption figurecaption"
)
KIND_CAPTIONS = frozenset(("captionof", "captionsof"))  # {kind of float}[list entry]{text}
TWO_CAPTIONS = frozenset(("bicaption",))  # {text}{text in another language}
SUBCAPTIONS = frozenset(("subcaption",))  # of what stands before it, in the same box
SUBFLOATS = names(  # [list entry][caption]{content}: subfig, subfigure, memoir, floatrow
    "subfloat subfigure subtable sidesubfloat subbottom subtop subfig"
)
SUBCAPTION_BOXES = frozenset(("subcaptionbox",))  # {caption}[width][position]{content}

FIGURES = names(  # floats whose captions are those of figures
    "figure wrapfigure SCfigure sidewaysfigure floatingfigure marginfigure teaserfigure figurehere "
    "widefigure fullwidthfigure largefigure colorfigure scheme chart graph plate"
)
TABLES = names("table wraptable SCtable sidewaystable margintable longtable supertabular deluxetable")
SUB_ENVIRONMENTS = names("subfigure subtable subfloat subcaptionblock subfigures")
# Content that is no graphics file; a caption beside it may be its own.
OTHER_CONTENT = names(
    "tikzpicture pgfpicture picture pspicture tabular tabularx tabulary tabu tblr array verbatim algorithmic algorithm "
    "algorithm2e forest circuitikz tikzcd feynman fmffile diagram chemfig asy axis luamplib empfile mplibcode"
)
OTHER_COMMANDS = names("tikz xymatrix Qcircuit chemfig schemestart tikzfig ctikzfig xy")

SECTIONS = names("part chapter section subsection subsubsection paragraph subparagraph par item bibitem")
REFERENCE = r"[A-Za-z]*[rR]ef(?:range)?"  # \ref, \cref, \autoref, \figref ...; which labels are figures' is known
INCLUDES = names("input include subfile subfileinclude InputIfFileExists loadfile @input")
IMPORTS = names("import subimport includefrom subincludefrom inputfrom subinputfrom")  # {folder}{file}

# All that has a meaning where figures are looked for.
MARKED = (
    GRAPHICS | KEYED_GRAPHICS | SECOND_GRAPHICS | TWO_GRAPHICS | CAPTIONED_GRAPHICS | CAPTIONS | KIND_CAPTIONS
    | TWO_CAPTIONS | SUBCAPTIONS | SUBFLOATS | SUBCAPTION_BOXES | OTHER_COMMANDS | SECTIONS | {"label"}
)  # fmt: skip
# What an author's own macro must lead to, to be expanded in the whole text; all others only in captions and the like.
STRUCTURAL = (
    GRAPHICS | KEYED_GRAPHICS | SECOND_GRAPHICS | TWO_GRAPHICS | CAPTIONS | KIND_CAPTIONS | TWO_CAPTIONS | SUBCAPTIONS
    | SUBFLOATS | SUBCAPTION_BOXES | INCLUDES | IMPORTS | {"begin", "end", "label", "graphicspath", "gridline"}
)  # fmt: skip
# What an author's definition does not replace: it would hide the arguments, which are what is wanted.
KEPT = STRUCTURAL | names(
    "documentclass documentstyle usepackage RequirePackage newcommand renewcommand providecommand def gdef edef xdef "
    "let newif newenvironment renewenvironment cite url href email footnote item par section textbf emph textit "
    "iftrue iffalse else fi endinput left right frac sqrt text"
)
