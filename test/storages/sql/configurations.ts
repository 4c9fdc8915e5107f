/**
 * With which caches the conformance suite runs over the SQL storages: with the default one, and with
 * SHOOTOUT_CACHES=all also without any and with one so small that it always overflows.
 */

const isAll = process.env['SHOOTOUT_CACHES'] === 'all'
const caches: readonly Readonly<Record<string, unknown>>[] = isAll
  ? [{}, { cacheBytesLimit: 0 }, { cacheBytesLimit: '64kb' }]
  : [{}]

/** Options for `describe.each`: both schemas, each with every cache. */
export const configurations: readonly Readonly<Record<string, unknown>>[] = [
  { history: false },
  { history: true },
].flatMap((schema) => caches.map((cache) => ({ ...schema, ...cache })))
