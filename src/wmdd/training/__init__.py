"""Training of classifiers, used by squeeze and evaluate alike."""
