// Against servers a smaller counterexample takes more time than a test has, and one that is not told is of no use:
// the first is told with its seed and its path, by which `fc.assert` finds it again.
import fc from 'fast-check'

fc.configureGlobal({ ...fc.readConfigureGlobal(), endOnFailure: true })
