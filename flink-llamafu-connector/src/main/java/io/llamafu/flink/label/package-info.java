/** The label job: answers the rows of files, each question once, and writes them back with their answers. */
package io.llamafu.flink.label;
