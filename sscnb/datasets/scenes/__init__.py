"""The embedded scenes."""

from sscnb.datasets.scenes.writing import CLASSES, SceneConfig, describe_rules, scene_files, write_scenes

__all__ = ["CLASSES", "SceneConfig", "describe_rules", "scene_files", "write_scenes"]
