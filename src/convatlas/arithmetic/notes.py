"""The five study notes on convolutional networks whose numbers are worked here again, by the headings they carry."""

from typing import Final

ARCHITECTURES: Final = "CNNs (CNN Architecture: AlexNet to EfficientNet, Chinese)"
OVERVIEW: Final = "Convolutional Neural Network (Core CNN Concepts, Famous CNNs Developments)"
MODELS: Final = "Chapter 03-d. Other Convolutional Neural Network Models (Chinese)"
COURSE: Final = "CNN (To maintain spatial structure; Chinese and English)"
LECTURES: Final = "CNNs (after Stanford's CS 230 and CS231n)"
