/** Type and serializer of the Avro records, independent of Flink's Avro format on the class path. */
package io.llamafu.flink.records;
