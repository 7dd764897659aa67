/** How wide an element is, in CSS pixels: drawings are made for the width that they have, so that their text stays readable. */
import { useLayoutEffect, useRef, useState } from "./dom.js";

/** `[ref, width]`; 0 until the element is there. */
export function useWidth() {
  const ref = useRef(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const look = () => setWidth(Math.floor(ref.current?.clientWidth ?? 0));
    const observer = new ResizeObserver(look);
    observer.observe(ref.current);
    look();
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}
