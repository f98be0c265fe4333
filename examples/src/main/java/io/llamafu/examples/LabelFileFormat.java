package io.llamafu.examples;

import io.llamafu.flink.Completion;
import org.apache.flink.api.common.serialization.BulkWriter;
import org.apache.flink.connector.file.src.reader.StreamFormat;
import org.apache.flink.formats.avro.AvroWriters;
import org.apache.flink.formats.parquet.avro.AvroParquetReaders;
import org.apache.flink.formats.parquet.avro.AvroParquetWriters;

import java.util.Locale;

/** The file formats of the labelling job. Both contain Avro records and their schema. */
enum LabelFileFormat {
    AVRO {
        @Override
        StreamFormat<TicketRecord> tickets() {
            return new AvroFormat<>(TicketRecord.class);
        }

        @Override
        BulkWriter.Factory<Completion> completions() {
            return AvroWriters.forSpecificRecord(Completion.class);
        }
    },
    PARQUET {
        @Override
        StreamFormat<TicketRecord> tickets() {
            return AvroParquetReaders.forSpecificRecord(TicketRecord.class);
        }

        @Override
        BulkWriter.Factory<Completion> completions() {
            return AvroParquetWriters.forSpecificRecord(Completion.class);
        }
    };

    abstract StreamFormat<TicketRecord> tickets();

    abstract BulkWriter.Factory<Completion> completions();

    String suffix() {
        return "." + name().toLowerCase(Locale.ROOT);
    }
}
