/** Keys that nobody else has. */

/** For one `Idempotency-Key`. (`crypto.randomUUID` is there for secure origins only: not for a service in a plain network.) */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
