/** What a resolved job spec says, in a few words. */

/** `online`, `unimodal: audio`, ... */
export function strategyOf(spec) {
  const blending = spec.blending ?? {};
  return blending.modality ? `${blending.strategy}: ${blending.modality}` : (blending.strategy ?? "");
}

/** The names of its modalities, in its order. */
export function modalitiesOf(spec) {
  return (spec.dataset?.modalities ?? []).map((modality) => modality.name);
}
