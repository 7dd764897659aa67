/** A button that asks before it does something that cannot be undone. */
import { html, useRef } from "../lib/dom.js";

export function Confirmed({ label, question, says, disabled = false, onYes }) {
  const dialog = useRef(null);
  const yes = () => {
    dialog.current.close();
    onYes();
  };
  return html`<button type="button" class="danger" disabled=${disabled} onClick=${() => dialog.current.showModal()}>${label}</button>
    <dialog ref=${dialog} aria-label=${question}>
      <h2>${question}</h2><p>${says}</p>
      <div class="row"><button type="button" class="danger" onClick=${yes}>${label} it</button>
        <button type="button" onClick=${() => dialog.current.close()}>Leave it</button></div>
    </dialog>`;
}
