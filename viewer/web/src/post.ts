/** Says something to the server. What did not arrive is never shown as sent. */

import { asJson } from "./language";
import { words } from "./words";

export type Answer<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly status: number; readonly sentence: string };

/**
 * `small` is for what is said in passing: it arrives even if the page is left at once, but only up to
 * 64 kB (Fetch, 4.6).
 */
export async function post<Value>(url: string, form: FormData, small = false): Promise<Answer<Value>> {
  try {
    const response = await fetch(url, {
      method: "POST",
      body: form,
      keepalive: small,
      credentials: "same-origin",
      headers: asJson,
    });
    const { status } = response;
    const isJson = response.headers.get("Content-Type")?.includes("json") ?? false;
    const value = (isJson ? await response.json() : {}) as Value & { sentence?: string };
    if (response.ok) return { ok: true, value };
    return { ok: false, status, sentence: value.sentence ?? refused(status) };
  } catch {
    return { ok: false, status: 0, sentence: words.notSent };
  }
}

function refused(status: number): string {
  if (status === 403) return words.locked;
  if (status === 404 || status === 410) return words.ended;
  return words.serverTrouble;
}
