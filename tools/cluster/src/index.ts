export { Cluster, type ClusterOptions, COUNTS, type Counts, type Service, SERVICES } from './cluster.js';
export { enginesFrom } from './engines.js';
export { logPrinter } from './log-printer.js';
export { type LogLine, ServiceProcess } from './service-process.js';
