/**
 * The part of the conformance suite that runs over a cluster: what snapshots show, who conflicts with whom, and what
 * concerns the whole store. SHOOTOUT_CONFORMANCE=all runs all of it, which takes several times as long.
 */

const part = ['snapshots', 'read current', 'invalidations', 'persistence', 'zap', 'races'] as const

export const wanted: { readonly only?: readonly string[] } =
  process.env['SHOOTOUT_CONFORMANCE'] === 'all' ? {} : { only: part }
