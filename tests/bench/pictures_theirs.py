"""Their side of `picture-2x300k` and `picture-all`: f3d draws both scans from the front; runs in a python with f3d."""

import sys

import f3d


def main(out: str, *scans: str) -> None:
    f3d.Engine.autoload_plugins()
    engine = f3d.Engine.create(True)  # off the screen
    engine.window.size = 1200, 675
    engine.options.update(
        {
            "render.background.color": [0xF3 / 255, 0xF1 / 255, 0xEC / 255],
            "ui.axis": False,
            "render.grid.enable": False,
            "scene.up_direction": "+Z",
        }
    )
    for scan in scans:
        engine.scene.add(scan)
    camera = engine.window.camera
    camera.position, camera.focal_point, camera.view_up = (0, 400, 0), (0, 0, 0), (0, 0, 1)
    camera.reset_to_bounds()
    engine.window.render_to_image().save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
