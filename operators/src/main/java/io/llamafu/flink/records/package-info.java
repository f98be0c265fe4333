/** The serializers of the Avro records, which need nothing of Flink's Avro format on the class path. */
package io.llamafu.flink.records;
