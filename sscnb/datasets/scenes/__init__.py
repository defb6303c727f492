"""The embedded scenes."""

from sscnb.datasets.scenes.writing import SceneConfig, describe_rules, scene_files, write_scenes

__all__ = ["SceneConfig", "describe_rules", "scene_files", "write_scenes"]
