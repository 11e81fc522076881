"""Building entry lists: WordNets, n-grams of Wikipedia and of other text, titles by page views, numbers.

MetaCLIP (arXiv:2309.16671) for English, MetaCLIP 2 (arXiv:2507.22062) for every other language.
"""
