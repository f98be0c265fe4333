/**
 * Sends the records of a stack to few subtasks, so that each TaskManager holds few adapters. It only saves loads: a
 * record gets the same answer in every subtask.
 */
package io.llamafu.flink.affinity;
