/** "A value or a promise": what a fast path hands on, so that nobody waits, or pays for a promise, where the value is there. */

/** A value, or a promise of it. */
export type Awaitable<T> = T | Promise<T>

/** Also true for promises of others. */
export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { readonly then?: unknown }).then === 'function'
  )
}

/** `use(value)` at once, or when the promise resolves. */
export function chain<T, U>(value: Awaitable<T>, use: (value: T) => Awaitable<U>): Awaitable<U> {
  return isPromise(value) ? value.then(use) : use(value)
}

/** As `chain`, and `recover` gets what either step throws. It must throw again, or give the value. */
export function attempt<T>(run: () => Awaitable<T>, recover: (error: unknown) => Awaitable<T>): Awaitable<T> {
  try {
    const value = run()
    return isPromise(value) ? value.then(undefined, recover) : value
  } catch (error) {
    return recover(error)
  }
}
