/**
 * Which class a name in a record means. A name that nobody registered is no error: such an object is read as a
 * `GenericObject`, which shows its state and is written back byte for byte, so a tool can copy what it does not know.
 */

import { UsageError } from '../core/errors.ts'
import { type Persistent, type PersistentClass, PersistentObject, type Value } from './persistent.ts'
import { isClassName } from './record-format.ts'

/** An object whose class is not known here. */
export class GenericObject extends PersistentObject<Value> {
  readonly #className: string

  constructor(className: string, state?: Value) {
    super(state)
    this.#className = className
  }

  override get className(): string {
    return this.#className
  }

  protected override checkState(state: Value): Value {
    return state
  }
}

/** The classes that records may name. */
export class ClassRegistry {
  readonly #classes = new Map<string, PersistentClass>()

  constructor(classes: readonly PersistentClass[] = []) {
    this.register(...classes)
  }

  /**
   * Makes classes known. Registering the same class again is fine.
   * @throws UsageError `class-name` when a name cannot be stored, or already means another class
   */
  register(...classes: readonly PersistentClass[]): void {
    for (const one of classes) {
      const name: unknown = one.className
      if (typeof name !== 'string' || !isClassName(name)) {
        throw new UsageError(
          'class-name',
          `class ${one.name} needs a static className of at most 200 printable ASCII characters without blanks, ` +
            'such as "bank.Account"',
        )
      }
      const known = this.#classes.get(name)
      if (known !== undefined && known !== one) {
        throw new UsageError(
          'class-name',
          `there are two classes "${name}"; records cannot tell them apart, so rename one`,
          { details: { className: name } },
        )
      }
      this.#classes.set(name, one)
    }
  }

  find(className: string): PersistentClass | undefined {
    return this.#classes.get(className)
  }

  /** An object of this class without any state. */
  make(className: string): Persistent {
    const found = this.#classes.get(className)
    return found === undefined ? new GenericObject(className) : new found()
  }
}
