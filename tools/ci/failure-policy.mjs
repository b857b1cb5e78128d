/** What goes on and what does not while an engine or an instance is away, cell by cell of docs/failure-policy.md. */
import { Totals } from './totals.mjs';

const totals = new Totals();
await totals.jest(['--config', 'jest.faults.config.mjs']);
totals.report();
