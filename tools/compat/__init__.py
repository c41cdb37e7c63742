"""Find out which versions of other packages work: which was the first bad one, and a grid."""
