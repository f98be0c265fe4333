/**
 * Sends the records of a stack to few subtasks, so that each TaskManager holds few adapters. It knows nothing but the
 * records that passed: affinity saves loading, and a record is answered alike wherever it goes.
 */
package io.llamafu.flink.affinity;
