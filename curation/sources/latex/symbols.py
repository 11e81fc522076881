"""What LaTeX's commands say in a caption, where pylatexenc does not know it or says it in a way hard to read."""

from curation.sources.latex.scan import names


def pairs(text: str) -> dict[str, str]:
    """A table from words that alternate between name and value."""
    words = text.split()
    return dict(zip(words[::2], words[1::2]))


# name: (arguments as pylatexenc writes them, which of them is printed: a format with {0}, {1} ... of the arguments)
COMMANDS: dict[str, tuple[str, str]] = {
    # Space, which must not disappear between words.
    **dict.fromkeys(("newline", "linebreak", "par", "quad", "qquad", "hfill", "hfil", "vfill", "newpage"), ("", " ")),
    **dict.fromkeys(
        ("smallskip", "medskip", "bigskip", "break", "tabularnewline", "cr", "enspace", "space"), ("", " ")
    ),
    **dict.fromkeys(("thinspace", "nobreakspace", "enskip", "indent", "noindent", "nonumber", ">", ":"), ("", " ")),
    **dict.fromkeys(("hspace", "vspace", "addvspace"), ("*{", " ")),
    # Nothing to read; pylatexenc prints the day on which it runs, and what another text gave to \author.
    **{"-": ("", ""), "today": ("", ""), "maketitle": ("", ""), "author": ("{", "")},
    **dict.fromkeys(
        ("label", "index", "phantom", "hphantom", "vphantom", "vskip", "hskip", "kern", "bibliography"), ("{", "")
    ),
    **dict.fromkeys(("captionsetup", "footnotemark", "footnotetext", "thanks", "todo", "marginpar"), ("[{", "")),
    **dict.fromkeys(("setlength", "addtolength", "setcounter", "renewcommand", "definecolor"), ("{{", "")),
    **dict.fromkeys(("includegraphics", "rule", "tikz", "symbol", "usetikzlibrary", "tikzset"), ("*[{", "")),
    **dict.fromkeys(("color", "pagecolor", "fontsize", "selectfont", "cellcolor", "rowcolor"), ("[{", "")),
    **dict.fromkeys(
        ("xspace", "protect", "relax", "left", "right", "big", "Big", "bigg", "Bigg", "displaystyle"), ("", "")
    ),
    **dict.fromkeys(
        ("bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr", "middle", "limits", "textstyle", "!", "/"), ("", "")
    ),
    # Boxes, fonts and colours: their last argument.
    **dict.fromkeys(("textcolor", "colorbox", "rotatebox", "foreignlanguage"), ("[{{", "{2}")),
    **dict.fromkeys(("fcolorbox", "resizebox"), ("*{{{", "{3}")),
    **dict.fromkeys(("scalebox",), ("{[{", "{2}")),
    **dict.fromkeys(("raisebox",), ("{[[{", "{3}")),
    **dict.fromkeys(("parbox",), ("[[[{{", "{4}")),
    **dict.fromkeys(("makebox", "framebox"), ("[[{", "{2}")),
    **dict.fromkeys(("texorpdfstring", "href_"), ("{{", "{0}")),
    **dict.fromkeys(("stackrel", "overset", "underset"), ("{{", "{1}")),
    **dict.fromkeys(("substack", "smash", "hl", "uline", "uwave", "sout", "ul", "st", "textls"), ("{", "{0}")),
    # pylatexenc 2.11 loses what is in several of these.
    **dict.fromkeys(
        ("texttt", "textsf", "textmd", "textup", "textsl", "textit", "textbf", "textrm", "textsc"), ("{", "{0}")
    ),
    **dict.fromkeys(("emph", "underline", "uppercase", "lowercase", "MakeUppercase", "MakeLowercase"), ("{", "{0}")),
    **dict.fromkeys(
        ("textulc", "textlf", "textquote", "citetext", "keywords", "title", "date", "mathord"), ("{", "{0}")
    ),
    **dict.fromkeys(("mathbf", "mathrm", "mathit", "mathsf", "mathtt", "mathcal", "mathscr", "mathfrak"), ("{", "{0}")),
    **dict.fromkeys(
        ("mathbb", "mathds", "bm", "boldsymbol", "pmb", "operatorname", "mathop", "mathbbm"), ("*{", "{1}")
    ),
    **dict.fromkeys(
        ("ensuremath", "text", "mbox", "hbox", "fbox", "textnormal", "mathnormal", "ce", "cf"), ("{", "{0}")
    ),
    **dict.fromkeys(("url", "nolinkurl", "path", "email"), ("{", "{0}")),
    "href": ("{{", "{1}"),
    "footnote": ("[{", " ({1})"),
    "enquote": ("*{", "“{1}”"),
    "ding": ("{", "•"),
    **dict.fromkeys(("mod", "bmod"), ("", " mod ")),
    "pmod": ("{", " (mod {0})"),
    "binom": ("{{", "binom({0}, {1})"),
    "xrightarrow": ("[{", "→"),
    "xleftarrow": ("[{", "←"),
    # Numbers and units (siunitx).
    "num": ("[{", "{1}"),
    "ang": ("[{", "{1}°"),
    **dict.fromkeys(("si", "unit"), ("[{", "{1}")),
    "SI": ("[{[{", "{1} {3}"),
    "qty": ("[{{", "{1} {2}"),
    **dict.fromkeys(("SIrange", "qtyrange"), ("[{{{", "{1} to {2} {3}")),
    "numrange": ("[{{", "{1} to {2}"),
}
# References and citations, as in the reference extractor (nopperl/clip_arxiv_pmc).
REFERENCES = names(
    "ref pageref autoref nameref cref Cref vref Vref vpageref subref fref Fref figref Figref secref tabref hyperref "
    "labelcref namecref nameCref cpageref zcref fullref prettyref crefrange Crefrange"
)
TWO_REFERENCES = frozenset(("crefrange", "Crefrange"))
CITATIONS = names(
    "cite citep citet citealt citealp citeauthor citeyear citeyearpar citenum citetext parencite textcite autocite "
    "footcite supercite smartcite fullcite onlinecite citep* Cite Citep Citet Parencite Textcite Autocite citeA "
    "Citealt Citealp Citeauthor citefullauthor shortcite shortciteA citeN nocite citenp citeasnoun cites parencites "
    "textcites citepalias citetalias"
)

# Accents of mathematics, as combining characters.
ACCENTS = {
    **dict.fromkeys(("hat", "widehat"), "\u0302"),
    **dict.fromkeys(("tilde", "widetilde"), "\u0303"),
    **{"bar": "\u0304", "vec": "\u20d7", "dot": "\u0307", "ddot": "\u0308", "check": "\u030c", "breve": "\u0306"},
    **{"acute": "\u0301", "grave": "\u0300"},
}
SYMBOLS = pairs(
    r"""
    ne ≠  neq ≠  S §  P ¶  copyright ©  | ‖  lt <  gt >  le ≤  ge ≥  textdegree °  degree °  celsius °C
    degreeCelsius °C  textmu µ  micro µ  ohm Ω  textcelsius °C  arcdeg °  arcmin ′  arcsec ″  degr °  sq □  sun ☉
    odot ⊙  lesssim ≲  gtrsim ≳  la ≲  ga ≳  leqslant ≤  geqslant ≥  sim ~  colon :  textasciitilde ~
    textbackslash \  textbar |  textless <  textgreater >  lvert |  rvert |  lVert ‖  rVert ‖  Vert ‖  vert |  mid |
    checkmark ✓  cmark ✓  xmark ✗  dag †  ddag ‡  pounds £  euro €  texttimes ×  textpm ±  bullet •  ldots …  dots …
    cdots …  textellipsis …  dotsc …  dotsb …  circ ∘  prime ′  LaTeX LaTeX  TeX TeX  ie i.e.  eg e.g.  deg °
    blacksquare ■  square □  triangle △  blacktriangle ▲  blacktriangledown ▼  diamond ◇  star ★  coloneqq ≔
    textrightarrow →  textleftarrow ←  to →  gets ←  slash /  hyp -  dash –  Dash —  textendash –  textemdash —
    textquotesingle '  upmu µ  AA Å  Re Re  Im Im  textperiodcentered ·  nmid ∤  eqsim ≂  approxeq ≊  vdots ⋮
    """
) | {"etal": "et al."}
# Set off from the letters beside them.
FUNCTIONS = names(
    "arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf limsup ln log max "
    "min Pr sec sin sinh sup tan tanh argmin argmax Tr tr sgn diag"
)
# What is printed of an abbreviation's entry (glossaries, acronym, acro): its short form, that with an s, its long form.
ACRONYMS = {
    **dict.fromkeys(names("gls Gls GLS acrshort ac Ac acs acf acfi acrfull glsxtrshort acused iac"), "{short}"),
    **dict.fromkeys(names("glspl Glspl acp acsp acfp acrshortpl acrfullpl Acp"), "{short}s"),
    **dict.fromkeys(names("acl acrlong glsentrylong aclu Acl"), "{long}"),
}
# Units and prefixes of siunitx; inside its commands only, for their names are common.
UNITS = pairs(
    r"""
    metre m  meter m  gram g  kilogram kg  second s  ampere A  kelvin K  mole mol  candela cd  hertz Hz  newton N
    pascal Pa  joule J  watt W  coulomb C  volt V  farad F  siemens S  weber Wb  tesla T  henry H  lumen lm  lux lx
    becquerel Bq  gray Gy  sievert Sv  minute min  hour h  day d  degree °  arcminute ′  arcsecond ″  litre L
    liter L  tonne t  electronvolt eV  dalton Da  percent %  angstrom Å  barn b  bar bar  bel B  decibel dB
    radian rad  steradian sr  molar M  astronomicalunit au  parsec pc  year yr  byte B  bit bit  pixel px  per /
    squared ^2  cubed ^3  eV eV  yocto y  zepto z  atto a  femto f  pico p  nano n  milli m  centi c  deci d
    deca da  hecto h  kilo k  mega M  giga G  tera T  peta P  micro µ  ohm Ω  celsius °C  degreeCelsius °C  um µm
    nm nm  mm mm  cm cm  km km  kHz kHz  MHz MHz  GHz GHz  Hz Hz  ms ms  us µs  ns ns  mV mV  kV kV  meV meV
    keV keV  MeV MeV  GeV GeV
    """
)
