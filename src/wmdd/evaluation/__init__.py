"""Everything that a reported figure rests on, in reading order.

1. `protocols`: how students are trained and tested, as data; two figures are comparable only under one protocol.
2. `students`: which students a run evaluates: networks x protocols x seeds, with their epochs and tests.
3. `supervision`: the batches a student learns from, and its loss: views, soft labels, hard labels, the set's targets.
4. `procedures`: what is done with a set: training a student, taking the set's learned steps, kernel regression.
   `teaching`: students go through their procedure and are tested; what comes out is a score with its rules.
5. `accuracy`: top-1 and top-5 on the real validation images, for students and teachers alike.
   `trials`: whether a teacher from outside answers as it should: normalisation, class order, chance.
   `references` and `real_names`: what stands beside a set, and how scores call it; `pools`: what its students see.
6. `rows`: from scores to rows: mean over sets, spread between them, numbers of sets and students.
   `differences`: how far two groups of students are apart, paired by seeds, and how well that is known.
   `comparison`: comparable rows beside each other: which are level with the highest, which above random images.
   `gap`: the share of the gap between floor and ceiling; `exchange`: random real images that one image is worth. Both
   stand on `contrasts`: errors of weighted sums of a set and two references.
7. `proportion`: what the number of test images leaves open. `tested`: whether they are test or development images.
   `fingerprints`: which scores rest on the same rules, and where these depart from the protocol.
8. `ranking`: DD-Ranking's scores, which separate images from labels and augmentation.
9. `rules`: a protocol in words, for the card of a set.

`wmdd.stages.evaluate` runs 2 to 5 for every set; `wmdd.pipeline.metrics` and `wmdd.report` use 6 to 8.
"""
