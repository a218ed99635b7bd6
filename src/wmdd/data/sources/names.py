"""What `DATA` on the command line may be; free of torch, so that `wmdd list data` and a wrong name answer fast."""

SOURCES: dict[str, str] = {
    "digits": "8x8 grey digits, 1,797 images, 10 classes; part of scikit-learn, needs no network",
    "cifar10": "32x32 colour photographs, 50,000 + 10,000 images, 10 classes",
    "cifar100": "32x32 colour photographs, 50,000 + 10,000 images, 100 classes",
    "country211": "photographs by country, 31,650 + 10,550 images, 211 classes",
    "dtd": "describable textures, 1,880 + 1,880 images, 47 classes",
    "emnist": "28x28 grey letters and digits (balanced split), 112,800 + 18,800 images, 47 classes",
    "eurosat": "64x64 satellite images, 27,000 images, 10 classes; a share is held out",
    "fashion-mnist": "28x28 grey clothes, 60,000 + 10,000 images, 10 classes; Debian's package serves too",
    "fgvc-aircraft": "photographs of aircraft, 3,334 + 3,333 images, 100 variants",
    "flowers102": "photographs of flowers, 1,020 + 1,020 images, 102 classes",
    "food101": "photographs of dishes, 75,750 + 25,250 images, 101 classes",
    "gtsrb": "German traffic signs, 26,640 + 12,630 images, 43 classes",
    "imagenette": "ten easy ImageNet classes, short side 320, 9,469 + 3,925 images",
    "kmnist": "28x28 grey Kuzushiji characters, 60,000 + 10,000 images, 10 classes",
    "mnist": "28x28 grey digits, 60,000 + 10,000 images, 10 classes",
    "oxford-pets": "photographs of cats and dogs, 3,680 + 3,669 images, 37 breeds",
    "stl10": "96x96 colour photographs, 5,000 + 8,000 images, 10 classes",
    "svhn": "32x32 house numbers, 73,257 + 26,032 images, 10 classes",
    "usps": "16x16 grey digits, 7,291 + 2,007 images, 10 classes",
}
"""Names that `open_data` knows, with a line about each. All but `digits` are downloaded by torchvision when missing."""

LAYOUTS: dict[str, str] = {
    "FOLDER with train/ and val/ or test/": "one folder a class in each",
    "FOLDER of class folders": "a stratified share is held out (data.holdout, data.holdout_seed)",
    "FOLDER of Tiny-ImageNet": "train/<wnid>/images/ and val/val_annotations.txt, as unpacked",
    "FOLDER of ImageNet": "train/<wnid>/, val/ flat or in class folders; flat needs LOC_val_solution.csv, or the "
    "devkit's ILSVRC2012_validation_ground_truth.txt and meta.mat",
    "FOLDER or FILE of Parquet": "Hugging Face image features; files named train-*, validation-*, test-*",
    "hf:OWNER/NAME[/CONFIG]": "Parquet files of a data set on the Hugging Face hub; needs the extra 'hf'",
}
"""Every other form of `DATA`."""
