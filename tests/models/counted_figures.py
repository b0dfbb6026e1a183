"""Every network's parameters and multiply-accumulates, from elsewhere than the cards: counted by other libraries, from
the authors' files, or by hand.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """A network, its figures for one picture of shape `input`, and who counted them."""

    name: str
    params: int
    macs: int  # of convolutions and dense layers
    input: tuple[int, int, int]
    oracle: str  # a test file beside this one: derived there by hand from the paper's table
    changes: dict[str, object] = field(default_factory=dict)  # of the config; {}: the network of that name

    def __str__(self) -> str:
        return "-".join([self.name, *(f"{key}={value}" for key, value in self.changes.items())])


def rgb(side: int) -> tuple[int, int, int]:
    return 3, side, side


GRAY, SMALL, RGB = (1, 32, 32), rgb(32), rgb(224)
# The network that the library has by the same name, or by the one that is given, with the same config.
TORCHVISION, TIMM, PYTORCHCV = "torchvision 0.29.2", "timm 1.0.31", "pytorchcv 0.0.74"
AUX: dict[str, object] = {"aux": True}
# fmt: off
ROWS = (
    #   name                           parameters             MACs  input     counted by
    Row("lenet5",                        60_000,         325_680, GRAY,     "the paper, Section II.B"),
    # C1 117,600 + C3 240,000 + C5 48,000 + F6 10,080 + output 840 multiply-accumulates.
    Row("lenet5_modern",                 61_706,         416_520, GRAY,     "test_lenet5.py"),
    Row("alexnet_paper",             60_965_224,     724_406_816, rgb(227), "Caffe, models/bvlc_alexnet"),
    Row("alexnet",                   61_100_840,     714_188_480, RGB,      TORCHVISION),
    Row("zfnet",                     62_357_608,   1_168_032_896, RGB,      PYTORCHCV),
    Row("zfnet_512",                107_627_624,   2_476_704_896, RGB,      f"{PYTORCHCV}, zfnetb"),
    Row("nin_cifar10",                  966_986,     222_486_528, SMALL,    PYTORCHCV),
    Row("nin_cifar100",                 984_356,     223_592_448, SMALL,    "test_nin.py"),
    Row("nin_imagenet",               7_595_176,   1_100_188_800, RGB,      "Caffe model zoo, NIN-ImageNet"),
    Row("overfeat_fast",            145_920_872,   2_801_403_904, rgb(231), "the authors' file net_weight_0"),
    Row("overfeat_accurate",        144_656_488,   5_355_446_784, rgb(221), "the authors' file net_weight_1"),
    Row("cnn_f",                     60_834_536,     724_005_632, RGB,      "test_cnn_fms.py"),
    Row("cnn_m",                    102_908_520,   1_676_172_320, RGB,      "test_cnn_fms.py"),
    Row("cnn_s",                    102_908_520,   2_637_708_320, RGB,      "test_cnn_fms.py"),
    Row("cnn_m_1024",                87_250_536,   1_660_517_408, RGB,      "test_cnn_fms.py"),
    Row("sppnet_zf5",                77_037_672,   1_182_712_960, RGB,      "the authors' Zeiler_conv5.prototxt"),
    Row("vgg11",                    132_863_336,   7_609_090_048, RGB,      TORCHVISION),
    Row("vgg13",                    133_047_848,  11_308_466_176, RGB,      "test_vgg.py"),
    Row("vgg16",                    138_357_544,  15_470_264_320, RGB,      TORCHVISION),
    Row("vgg19",                    143_667_240,  19_632_062_464, RGB,      TORCHVISION),
    Row("vgg11_bn",                 132_868_840,   7_609_090_048, RGB,      TORCHVISION),
    Row("vgg13_bn",                 133_053_736,  11_308_466_176, RGB,      TORCHVISION),
    Row("vgg16_bn",                 138_365_992,  15_470_264_320, RGB,      TORCHVISION),
    Row("vgg19_bn",                 143_678_248,  19_632_062_464, RGB,      TORCHVISION),
    Row("googlenet_paper",            6_998_552,   1_582_671_872, RGB,      "Caffe, models/bvlc_googlenet"),
    Row("googlenet_paper",           13_378_280,   1_591_044_096, RGB,      "the same in training", AUX),
    Row("googlenet",                  6_624_904,   1_498_376_192, RGB,      TORCHVISION),
    Row("googlenet",                 13_004_888,   1_506_748_416, RGB,      TORCHVISION, AUX),
    Row("bn_inception",              11_295_240,   2_032_600_064, RGB,      f"{PYTORCHCV}, bninception"),
    Row("inception_v2",              23_468_104,   5_686_379_104, rgb(299), "test_inception_v2.py"),
    Row("inception_v3",              23_834_568,   5_713_216_096, rgb(299), TORCHVISION),
    Row("inception_v3",              27_161_264,   5_718_899_296, rgb(299), TORCHVISION, AUX),
    Row("plain18",                   11_515_688,   1_794_805_760, RGB,      "test_resnet.py"),
    Row("plain34",                   21_623_848,   3_644_493_824, RGB,      "test_resnet.py"),
    Row("resnet18",                  11_689_512,   1_814_073_344, RGB,      PYTORCHCV),
    Row("resnet34",                  21_797_672,   3_663_761_408, RGB,      PYTORCHCV),
    Row("resnet50_paper",            25_557_032,   3_857_973_248, RGB,      f"{PYTORCHCV}, resnet50"),
    Row("resnet101_paper",           44_549_160,   7_570_194_432, RGB,      f"{PYTORCHCV}, resnet101"),
    Row("resnet152_paper",           60_192_808,  11_282_415_616, RGB,      f"{PYTORCHCV}, resnet152"),
    Row("resnet50",                  25_557_032,   4_089_184_256, RGB,      TORCHVISION),
    Row("resnet101",                 44_549_160,   7_801_405_440, RGB,      TORCHVISION),
    Row("resnet152",                 60_192_808,  11_513_626_624, RGB,      TORCHVISION),
    Row("plain20_cifar",                269_722,      40_551_040, SMALL,    "test_resnet.py"),
    Row("plain56_cifar",                853_018,     125_485_696, SMALL,    "test_resnet.py"),
    Row("resnet20_cifar",               269_722,      40_551_040, SMALL,    "test_resnet.py"),
    Row("resnet32_cifar",               464_154,      68_862_592, SMALL,    "test_resnet.py"),
    Row("resnet44_cifar",               658_586,      97_174_144, SMALL,    "test_resnet.py"),
    Row("resnet56_cifar",               853_018,     125_485_696, SMALL,    "test_resnet.py"),
    Row("resnet110_cifar",            1_727_962,     252_887_680, SMALL,    "test_resnet.py"),
    Row("resnet1202_cifar",          19_421_274,   2_829_238_912, SMALL,    "test_resnet.py"),
    Row("inception_v4",              42_679_816,  12_253_974_624, rgb(299), TIMM),
    Row("inception_resnet_v1",       22_756_328,   6_206_361_696, rgb(299), "test_inception_resnet.py"),
    Row("inception_resnet_v2_paper", 32_433_928,   9_257_953_632, rgb(299), "test_inception_resnet.py"),
    Row("inception_resnet_v2",       55_843_464,  13_155_794_016, rgb(299), TIMM),
    Row("squeezenet1_0",              1_248_424,     818_924_576, RGB,      TORCHVISION),
    Row("squeezenet1_1",              1_235_496,     349_151_936, RGB,      TORCHVISION),
    Row("densenet121",                7_978_856,   2_834_161_664, RGB,      TORCHVISION),
    Row("densenet161",               28_681_000,   7_727_907_072, RGB,      TORCHVISION),
    Row("densenet169",               14_149_480,   3_359_843_328, RGB,      TORCHVISION),
    Row("densenet201",               20_013_928,   4_291_365_888, RGB,      TORCHVISION),
    Row("densenet264",               33_337_704,   5_751_653_376, RGB,      "test_densenet.py"),
    Row("densenet40_k12_cifar",       1_019_722,     264_812_928, SMALL,    "test_densenet.py"),
    Row("densenet100_k12_cifar",      6_979_642,   1_769_516_448, SMALL,    "test_densenet.py"),
    Row("densenet100_k24_cifar",     27_249_082,   6_889_347_744, SMALL,    "test_densenet.py"),
    Row("densenet_bc100_k12_cifar",     769_162,     287_929_692, SMALL,    f"{PYTORCHCV}, densenet100_k12_bc"),
    Row("densenet_bc250_k24_cifar",  15_324_406,   5_418_785_724, SMALL,    f"{PYTORCHCV}, densenet250_k24_bc"),
    Row("densenet_bc190_k40_cifar",  25_624_430,   9_301_945_740, SMALL,    "test_densenet.py"),
    Row("xception",                  22_855_952,   8_357_403_496, rgb(299), f"{TIMM}, legacy_xception"),
    Row("resnext50_32x4d",           25_028_904,   4_230_479_872, RGB,      TORCHVISION),
    Row("resnext101_32x4d",          44_177_704,   7_969_996_800, RGB,      TIMM),
    Row("resnext101_32x8d",          88_791_336,  16_414_015_488, RGB,      TORCHVISION),
    Row("resnext101_64x4d",          83_455_272,  15_460_270_080, RGB,      TORCHVISION),
    Row("mobilenet_v1",               4_231_976,     568_740_352, RGB,      f"{TIMM}, mobilenetv1_100"),
    Row("mobilenet_v1",               2_585_560,     325_400_448, RGB,      PYTORCHCV, {"width": 0.75}),
    Row("mobilenet_v1",               1_331_592,     149_497_088, RGB,      PYTORCHCV, {"width": 0.5}),
    Row("mobilenet_v1",                 470_072,      41_030_272, RGB,      PYTORCHCV, {"width": 0.25}),
    Row("shufflenet_v1_g1",           1_531_936,     143_078_976, RGB,      PYTORCHCV),
    Row("shufflenet_v1_g2",           1_733_848,     140_836_512, RGB,      PYTORCHCV),
    Row("shufflenet_v1_g3",           1_865_728,     137_460_672, RGB,      PYTORCHCV),
    Row("shufflenet_v1_g3",           5_450_776,     524_045_184, RGB,      "test_shufflenet_v1.py", {"width": 2.0}),
    Row("shufflenet_v1_g3",           3_442_168,     292_443_552, RGB,      "test_shufflenet_v1.py", {"width": 1.5}),
    Row("shufflenet_v1_g3",             718_324,      37_589_856, RGB,      "test_shufflenet_v1.py", {"width": 0.5}),
    Row("shufflenet_v1_g4",           1_968_344,     134_339_776, RGB,      PYTORCHCV),
    Row("shufflenet_v1_g8",           2_434_768,     138_365_952, RGB,      PYTORCHCV),
    Row("shufflenet_v1_g8",           6_522_232,     521_942_016, RGB,      "test_shufflenet_v1.py", {"width": 2.0}),
    Row("shufflenet_v1_g8",           4_269_952,     290_188_800, RGB,      "test_shufflenet_v1.py", {"width": 1.5}),
    Row("shufflenet_v1_g8",           1_011_448,      40_469_760, RGB,      "test_shufflenet_v1.py", {"width": 0.5}),
    Row("nasnet_mobile",              5_289_978,     563_638_816, RGB,      "test_nasnet.py"),
    Row("nasnet_mobile",              7_701_218,     567_061_024, RGB,      "test_nasnet.py", AUX),
    Row("nasnet_large",              88_753_150,  23_783_414_658, rgb(331), f"{TIMM}, nasnetalarge"),
    Row("nasnet_large",              93_320_934,  23_797_011_330, rgb(331), "test_nasnet.py", AUX),
    Row("nasnet_cifar",               3_346_538,     544_333_312, SMALL,    "test_nasnet.py"),
    Row("nasnet_cifar",               4_978_036,     546_700_288, SMALL,    "test_nasnet.py", AUX),
    Row("se_resnet18",               11_778_592,   1_814_160_384, RGB,      f"{PYTORCHCV}, seresnet18"),
    Row("se_resnet34",               21_958_868,   3_663_918_592, RGB,      "test_senet.py"),
    Row("se_resnet50",               28_088_024,   3_860_488_192, RGB,      f"{PYTORCHCV}, seresnet50"),
    Row("se_resnet101",              49_326_872,   7_574_937_600, RGB,      f"{PYTORCHCV}, seresnet101"),
    Row("se_resnet152",              66_821_848,  11_288_993_792, RGB,      f"{PYTORCHCV}, seresnet152"),
    Row("se_resnext50_32x4d",        27_559_896,   4_232_994_816, RGB,      f"{PYTORCHCV}, seresnext50_32x4d"),
    Row("se_resnext101_32x4d",       48_955_416,   7_974_739_968, RGB,      "test_senet.py"),
    Row("senet154",                 115_088_984,  20_688_363_520, RGB,      f"{TIMM}, legacy_senet154"),
    Row("se_bn_inception",           11_931_622,   2_033_239_424, RGB,      "the authors' SE-BN-Inception.prototxt"),
    Row("se_inception_resnet_v2",    64_387_444,  13_164_289_376, rgb(299), "test_senet.py"),
    Row("se_mobilenet_v1",            4_718_044,     569_220_096, RGB,      "test_senet.py"),
    Row("se_shufflenet_v1",           2_484_533,     138_071_088, RGB,      "test_senet.py"),
    Row("mobilenet_v2",               3_504_872,     300_774_272, RGB,      TORCHVISION),
    Row("mobilenet_v2",               2_636_424,     209_069_792, RGB,      TORCHVISION, {"width": 0.75}),
    Row("mobilenet_v2",               1_968_680,      97_131_840, RGB,      TORCHVISION, {"width": 0.5}),
    Row("mobilenet_v2",               1_677_128,      59_285_808, RGB,      TIMM, {"width": 0.35}),
    Row("mobilenet_v2",               1_519_112,      37_201_312, RGB,      TORCHVISION, {"width": 0.25}),
    Row("shufflenet_v2_x0_5",         1_366_792,      40_476_448, RGB,      TORCHVISION),
    Row("shufflenet_v2_x1_0",         2_278_604,     144_907_992, RGB,      TORCHVISION),
    Row("shufflenet_v2_x1_5",         3_503_624,     295_759_392, RGB,      TORCHVISION),
    Row("shufflenet_v2_x2_0",         7_393_996,     583_253_464, RGB,      TORCHVISION),
    Row("shufflenet_v2_50",          16_573_534,   2_304_152_672, RGB,      "test_shufflenet_v2.py"),
    Row("shufflenet_v2_large",      125_120_936,  12_780_652_544, RGB,      "test_shufflenet_v2_large.py"),
    Row("shufflenet_v2_large",      140_685_664,  14_323_851_264, RGB,      "test_shufflenet_v2_large.py", AUX),
    Row("shufflenet_v2_exlarge",    255_374_504,  46_174_794_752, RGB,      "test_shufflenet_v2_large.py"),
    Row("shufflenet_v2_exlarge",    271_283_296,  47_756_528_640, RGB,      "test_shufflenet_v2_large.py", AUX),
    Row("mnasnet_b1",                 4_383_312,     314_415_872, RGB,      f"{TORCHVISION}, mnasnet1_0"),
    Row("mnasnet_b1",                 6_282_256,     526_362_432, RGB,      TORCHVISION, {"width": 1.3}),
    Row("mnasnet_b1",                 3_170_208,     215_493_104, RGB,      TORCHVISION, {"width": 0.75}),
    Row("mnasnet_b1",                 2_218_512,     104_455_968, RGB,      TORCHVISION, {"width": 0.5}),
    Row("mnasnet_a1",                 3_887_038,     311_579_072, RGB,      f"{TIMM}, semnasnet_100"),
    Row("mnasnet_a1",                 6_105_992,     586_317_952, RGB,      TIMM, {"width": 1.4}),
    Row("mnasnet_a1",                 2_912_278,     223_448_480, RGB,      TIMM, {"width": 0.75}),
    Row("mnasnet_a1",                 2_082_006,     103_162_992, RGB,      TIMM, {"width": 0.5}),
    Row("mnasnet_a1",                 1_747_018,      61_681_920, RGB,      "test_mnasnet.py", {"width": 0.35}),
    Row("mnasnet_small",              2_030_264,      68_339_184, RGB,      TIMM),
    Row("mobilenet_v3_large",         5_483_032,     216_589_760, RGB,      TORCHVISION),
    Row("mobilenet_v3_large",         7_551_976,     355_221_920, RGB,      "test_mobilenet_v3.py", {"width": 1.25}),
    Row("mobilenet_v3_large",         3_993_528,     154_560_624, RGB,      TIMM, {"width": 0.75}),
    Row("mobilenet_v3_small",         2_542_856,      56_510_400, RGB,      TORCHVISION),
    Row("efficientnet_b0",            5_288_548,     385_814_752, RGB,      TORCHVISION),
    Row("efficientnet_b1",            7_794_184,     686_802_832, rgb(240), TORCHVISION),
    Row("efficientnet_b2",            9_109_994,     993_561_872, rgb(260), TORCHVISION),
    Row("efficientnet_b3",           12_233_232,   1_827_141_392, rgb(300), TORCHVISION),
    Row("efficientnet_b4",           19_341_616,   4_393_771_024, rgb(380), TORCHVISION),
    Row("efficientnet_b5",           30_389_784,  10_266_384_752, rgb(456), "test_efficientnet.py"),
    Row("efficientnet_b6",           43_040_704,  19_067_593_536, rgb(528), TORCHVISION),
    Row("efficientnet_b7",           66_347_960,  37_745_884_192, rgb(600), TORCHVISION),
    Row("efficientnet_lite0",         4_652_008,     385_187_552, RGB,      "test_efficientnet.py"),
    Row("shufflenet_v2_plus_small",   5_137_116,     155_845_008, RGB,      "test_shufflenet_v2_plus.py"),
    Row("shufflenet_v2_plus_medium",  5_679_840,     222_249_984, RGB,      "test_shufflenet_v2_plus.py"),
    Row("shufflenet_v2_plus_large",   6_768_220,     360_050_704, RGB,      "test_shufflenet_v2_plus.py"),
    Row("vit_ti_16",                  5_717_416,   1_074_851_328, RGB,      f"{TIMM}, vit_tiny_patch16_224"),
    Row("vit_s_16",                  22_050_664,   4_241_218_560, RGB,      f"{TIMM}, vit_small_patch16_224"),
    Row("vit_s_32",                  22_878_952,   1_119_869_952, RGB,      f"{TIMM}, vit_small_patch32_224"),
    Row("vit_b_16",                  86_567_656,  16_848_500_736, RGB,      f"{TIMM}, vit_base_patch16_224"),
    Row("vit_b_16",                  86_859_496,  49_347_803_136, rgb(384), TIMM, {"image_size": 384}),
    Row("vit_b_32",                  88_224_232,   4_363_106_304, RGB,      f"{TIMM}, vit_base_patch32_224"),
    Row("vit_l_14",                 304_203_752,  77_766_565_888, RGB,      f"{TIMM}, vit_large_patch14_224"),
    Row("vit_l_16",                 304_326_632,  59_647_172_608, RGB,      f"{TIMM}, vit_large_patch16_224"),
    Row("vit_l_16",                 304_715_752, 174_702_174_208, rgb(384), TIMM, {"image_size": 384}),
    Row("vit_l_32",                 306_535_400,  15_254_659_072, RGB,      f"{TIMM}, vit_large_patch32_224"),
    Row("vit_h_14",                 632_045_800, 161_884_375_040, RGB,      f"{TIMM}, vit_huge_patch14_224"),
    Row("efficientnet_v2_s",         21_458_488,   8_365_617_152, rgb(384), TORCHVISION),
    Row("efficientnet_v2_m",         54_139_356,  24_582_460_384, rgb(480), TORCHVISION),
    Row("efficientnet_v2_l",        118_515_272,  56_079_699_008, rgb(480), TORCHVISION),
    Row("efficientnet_v2_xl",       208_119_808,  93_353_451_520, rgb(512), f"{TIMM}, tf_efficientnetv2_xl"),
)
# fmt: on


def counted(name: str) -> tuple[int, int]:
    """Parameters and multiply-accumulates of the network of that name as it is."""
    (row,) = [row for row in ROWS if row.name == name and not row.changes]
    return row.params, row.macs
