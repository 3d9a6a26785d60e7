/**
 * How the camera stands: an orthographic pose of which the zoom is pixels per millimetre, so that lengths
 * in the picture are true and what lies under a finger stays under it. Poses are values; changing one makes
 * another.
 */

import {
  Box3,
  Euler,
  MathUtils,
  type OrthographicCamera,
  type PerspectiveCamera,
  Quaternion,
  Vector3,
} from "three";

/** From the front towards the patient's left, and from straight above downwards, both in radians. */
export interface Direction {
  readonly azimuth: number;
  readonly polar: number;
}

export interface Pose extends Direction {
  /** The point in the middle of the picture. */
  readonly target: Vector3;
  readonly zoom: number;
}

interface Axes {
  readonly right: Vector3;
  readonly up: Vector3;
  /** Towards the viewer. */
  readonly back: Vector3;
}

/** Stays exact where the camera looks straight up or down: the patient's front then is up or down. */
export function orientation({ azimuth, polar }: Direction): Quaternion {
  return new Quaternion().setFromEuler(new Euler(polar - Math.PI / 2, azimuth, 0, "YXZ"));
}

export function axes(direction: Direction): Axes {
  const turn = orientation(direction);
  return {
    right: new Vector3(1, 0, 0).applyQuaternion(turn),
    up: new Vector3(0, 1, 0).applyQuaternion(turn),
    back: new Vector3(0, 0, 1).applyQuaternion(turn),
  };
}

export function turned(pose: Pose, azimuth: number, polar: number): Pose {
  return {
    ...pose,
    azimuth: pose.azimuth + azimuth,
    polar: MathUtils.clamp(pose.polar + polar, 0, Math.PI),
  };
}

/** Moves the subject by pixels, right and down. */
export function moved(pose: Pose, right: number, down: number): Pose {
  const along = axes(pose);
  const target = pose.target
    .clone()
    .addScaledVector(along.right, -right / pose.zoom)
    .addScaledVector(along.up, down / pose.zoom);
  return { ...pose, target };
}

/** Zooms, while the point that many pixels right of and below the middle stays where it is. */
export function zoomed(pose: Pose, zoom: number, right = 0, down = 0): Pose {
  const stay = 1 - zoom / pose.zoom;
  return moved({ ...pose, zoom }, right * stay, down * stay);
}

/** Between two poses, the short way round, and as fast in zoom at either end. */
export function between(from: Pose, to: Pose, part: number): Pose {
  if (part >= 1) return to;
  const turn = MathUtils.euclideanModulo(to.azimuth - from.azimuth + Math.PI, 2 * Math.PI) - Math.PI;
  return {
    azimuth: from.azimuth + turn * part,
    polar: MathUtils.lerp(from.polar, to.polar, part),
    target: from.target.clone().lerp(to.target, part),
    zoom: from.zoom * (to.zoom / from.zoom) ** part,
  };
}

/** The pose in this direction that brings all points into a picture of that size. */
export function fitting(
  points: readonly Vector3[],
  direction: Direction,
  width: number,
  height: number,
): Pose {
  const { right, up, back } = axes(direction);
  const box = new Box3();
  const seen = new Vector3();
  for (const point of points) {
    box.expandByPoint(seen.set(point.dot(right), point.dot(up), point.dot(back)));
  }
  const middle = box.getCenter(new Vector3());
  const size = box.getSize(new Vector3()).max(new Vector3(0.1, 0.1, 0.1));
  const target = new Vector3()
    .addScaledVector(right, middle.x)
    .addScaledVector(up, middle.y)
    .addScaledVector(back, middle.z);
  return { ...direction, target, zoom: Math.min(width / size.x, height / size.y) };
}

export function place(camera: OrthographicCamera, pose: Pose, distance: number): void {
  camera.quaternion.copy(orientation(pose));
  camera.position.set(0, 0, distance).applyQuaternion(camera.quaternion).add(pose.target);
  camera.zoom = pose.zoom;
  camera.near = 0;
  camera.far = distance * 2;
  camera.updateProjectionMatrix();
  camera.updateMatrixWorld();
}

/** As wide as a head looks at a jaw in a hand, in degrees. */
const fieldOfView = 26;

/** The same pose with depth: what lies at the target is as large as without. */
export function placeDeep(camera: PerspectiveCamera, pose: Pose, height: number): void {
  const half = MathUtils.degToRad(fieldOfView / 2);
  const distance = height / 2 / pose.zoom / Math.tan(half);
  camera.fov = fieldOfView;
  camera.quaternion.copy(orientation(pose));
  camera.position.set(0, 0, distance).applyQuaternion(camera.quaternion).add(pose.target);
  camera.near = Math.max(distance / 100, distance - 500);
  camera.far = distance + 500;
  camera.updateProjectionMatrix();
  camera.updateMatrixWorld();
}
