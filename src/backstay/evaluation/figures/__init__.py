"""Figures of evaluations: plain data in, the text of one `<svg>` out, drawn with `core.drawing`.

plane        curves, bands and marks over two axes: what the others are made of
curves       precision and recall with the prevalence, cost by threshold, the ROC curve
forest       slices, each with how far its loss lies above that of the rest
reliability  how often it happened, by what was said, with the band that chance would fill
rates        a rate by group, with intervals
waterfall    from one quality to another, a step for each cause
frontier     what a smaller gap between groups would cost
heat         how far each column lies from its reference, window by window
"""
