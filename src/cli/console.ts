/** Where a command speaks: how wide it may be, whether in colour, and what Ctrl-C does meanwhile. */

/** Characters that a line of standard output may have. Where no terminal says so, `COLUMNS` does. */
export function outputWidth(): number {
  return process.stdout.columns ?? (Number(process.env['COLUMNS']) || 120)
}

/** Whether it can be redrawn in place: a terminal, and one that knows more than to print. */
export function isTerminal(stream: { readonly isTTY?: boolean }): boolean {
  return stream.isTTY === true && process.env['TERM'] !== 'dumb'
}

/** Colour where a person looks, unless they said otherwise. */
export function useColor(stream: { readonly isTTY?: boolean }): boolean {
  if (process.env['NO_COLOR'] !== undefined && process.env['NO_COLOR'] !== '') return false
  if (process.env['FORCE_COLOR'] !== undefined && process.env['FORCE_COLOR'] !== '0') return true
  return isTerminal(stream)
}

/** How standard output is to be written to. */
export function outputStyle(): { readonly width: number; readonly color: boolean } {
  return { width: outputWidth(), color: useColor(process.stdout) }
}

/** Lets something be done that Ctrl-C, or `kill`, ends in order: the first aborts the signal, the next ends the process. */
export async function interruptibly<T>(action: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stopping = new AbortController()
  const stop = () => stopping.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    return await action(stopping.signal)
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}
