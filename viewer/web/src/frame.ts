/**
 * The jaw frame: scans arrive in any orientation; the picture's world is always the patient's.
 * World x = the patient's left, y = up, z = front, so "Front" looks along -z, whatever the scanner did.
 */

import { Matrix4, Quaternion, Vector3 } from "three";
import type { Version } from "./case";

/** The rotation from the scans' coordinates to the picture's world. */
export function patientRotation({ up, front }: Version["frame"]): Quaternion {
  const y = new Vector3(...up).normalize();
  const z = new Vector3(...front);
  z.addScaledVector(y, -z.dot(y)).normalize();
  if (!y.lengthSq() || !z.lengthSq()) return new Quaternion();
  const x = new Vector3().crossVectors(y, z);
  const worldToScan = new Matrix4().makeBasis(x, y, z);
  return new Quaternion().setFromRotationMatrix(worldToScan).invert();
}
