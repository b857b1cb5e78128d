import { InProcessLinks } from './in-process.js';
import { linksConformance } from './links-conformance.js';

linksConformance('in-process', async () => {
  const links = new InProcessLinks();
  return { caller: links, callee: links, close: () => links.close() };
});
