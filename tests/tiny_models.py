"""Small models of `transformers` with random weights, as `save_pretrained` writes them; slow to import."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

WORDS = ["[PAD]", "[UNK]", "good", "bad", "red", "blue", "cat", "dog", *(f"w{k}" for k in range(24))]
WIDTH = 16


def bert(folder: Path, seed: int = 0) -> Path:
    """A model of texts of at most 16 tokens, and its tokenizer."""
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        pad_token_id=0,
    )
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def bert_with_class_token(folder: Path, seed: int = 0) -> Path:
    """The same model; its tokenizer puts `w0` in front of each text."""
    bert(folder, seed)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    place = WORDS.index("w0")
    tokenizer.post_processor = TemplateProcessing(single="w0 $A", special_tokens=[("w0", place)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def gpt2(folder: Path, seed: int = 0) -> Path:
    """A model that reads from left to right, with the same tokenizer."""
    bert_with_class_token(folder, seed)
    config = transformers.GPT2Config(
        vocab_size=len(WORDS), n_embd=WIDTH, n_layer=1, n_head=2, n_positions=16, bos_token_id=0, eos_token_id=0
    )
    transformers.GPT2Model(config).save_pretrained(folder)
    return folder


def resnet(folder: Path, seed: int = 0) -> Path:
    """A convolutional model of images, whose last hidden states are those of places."""
    torch.manual_seed(seed)
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, WIDTH], depths=[1, 1], layer_type="basic", out_features=None
    )
    transformers.ResNetModel(config).save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


def convnext(folder: Path, seed: int = 0) -> Path:
    """Another one."""
    torch.manual_seed(seed)
    config = transformers.ConvNextConfig(hidden_sizes=[8, WIDTH], depths=[1, 1], num_stages=2)
    transformers.ConvNextModel(config).save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


def vit(folder: Path, seed: int = 0) -> Path:
    """A model of images, which it scales to 16 x 16."""
    torch.manual_seed(seed)
    config = transformers.ViTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=8,
    )
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


def processor() -> transformers.ViTImageProcessorPil:
    """What prepares images for `vit`."""
    return transformers.ViTImageProcessorPil(size={"height": 16, "width": 16})


def wav2vec(folder: Path, seed: int = 0) -> Path:
    """A model of sounds of 8,000 samples a second."""
    torch.manual_seed(seed)
    config = transformers.Wav2Vec2Config(
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8, 8),
        conv_kernel=(10, 3),
        conv_stride=(5, 2),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    transformers.Wav2Vec2Model(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(folder)
    return folder


def ast(folder: Path, seed: int = 0) -> Path:
    """A model of spectrograms of 16 steps, of sounds of 8,000 samples a second."""
    torch.manual_seed(seed)
    config = transformers.ASTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        patch_size=4,
        frequency_stride=4,
        time_stride=4,
        max_length=16,
        num_mel_bins=8,
    )
    transformers.ASTModel(config).save_pretrained(folder)
    transformers.ASTFeatureExtractor(num_mel_bins=8, max_length=16, sampling_rate=8000).save_pretrained(folder)
    return folder


def videomae(folder: Path, seed: int = 0) -> Path:
    """A model of clips of 4 frames, which it scales to 16 x 16."""
    torch.manual_seed(seed)
    config = transformers.VideoMAEConfig(
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=8,
        num_frames=4,
        tubelet_size=2,
    )
    transformers.VideoMAEModel(config).save_pretrained(folder)
    transformers.VideoMAEImageProcessorPil(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    ).save_pretrained(folder)
    return folder


def resnet_of_stages(folder: Path, seed: int = 0) -> Path:
    """A model of images with batch normalisation, which it scales to 32 x 32."""
    torch.manual_seed(seed)
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12, WIDTH], depths=[1, 1, 1])
    config.layer_type = "basic"
    transformers.ResNetModel(config).save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def convnext_of_stages(folder: Path, seed: int = 0) -> Path:
    """A model of images whose third stage has more layers than it has stages."""
    torch.manual_seed(seed)
    config = transformers.ConvNextConfig(hidden_sizes=[8, 8, 12, WIDTH], depths=[1, 1, 5, 1], num_stages=4)
    transformers.ConvNextModel(config).save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


ALL = (bert, bert_with_class_token, gpt2, resnet, convnext, vit, wav2vec, videomae)
