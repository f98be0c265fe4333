package io.llamafu.examples;

import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.Answered;
import io.llamafu.flink.CompletionStreams;
import io.llamafu.flink.Llamafu;
import io.llamafu.flink.OnError;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

/**
 * Adds a label to the tickets of a topic, by the adapters that a compacted topic has for their tenant: the last record of
 * a key is its route, and a record without a value removes it.
 */
@Command(name = "EnrichJob")
public final class EnrichJob {
    /** How long the topic of routes must be silent for its content to count as read. */
    private static final Duration SILENCE = Duration.ofSeconds(10);

    @Mixin
    private final KafkaConnections kafka = new KafkaConnections();

    @Mixin
    private final ModelOptions model = new ModelOptions();

    /** Runs in the JobManager, so it throws errors instead of exiting. */
    public static void main(String[] arguments) throws Exception {
        EnrichJob job = CommandLine.populateCommand(new EnrichJob(), arguments);
        StreamExecutionEnvironment env = job.kafka.environment();
        job.build(env);
        env.execute("enriched tickets");
    }

    private void build(StreamExecutionEnvironment env) {
        DataStream<Ticket> tickets = env.fromSource(
                        kafka.records(KafkaTopics.TICKETS, JsonValue.of(Ticket.class)),
                        TicketWatermarks.strategy(),
                        "tickets")
                .uid("tickets");
        // The topic does not have the routes of the past, so each holds from the beginning of time. The routes have no
        // watermark until their topic ends or is silent, so tickets wait until it has been read once. A later route is
        // late in event time, and applies to the tickets after it.
        DataStream<AdapterRoute> routes = env.fromSource(
                        kafka.routes(KafkaTopics.ROUTES, new LatestRoute()),
                        WatermarkStrategy.<AdapterRoute>noWatermarks()
                                .withTimestampAssigner((route, time) -> 0L)
                                .withIdleness(SILENCE),
                        "routes")
                .uid("routes")
                .setParallelism(1);

        CompletionStreams<Ticket> streams = Llamafu.complete(tickets)
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .routes(routes)
                .eventTime()
                .with(model.toLlamafuOptions(OnError.EMIT))
                .buildStreams();
        write(streams.answered(), KafkaTopics.ANSWERS);
        write(streams.deadLetters(), KafkaTopics.DEAD_LETTERS);
    }

    private void write(DataStream<Answered<Ticket>> tickets, String topic) {
        tickets.map((Answered<Ticket> answered) -> JsonLines.write(EnrichedTicket.of(answered)))
                .name(topic + " as JSON")
                .sinkTo(kafka.sink(topic, new SimpleStringSchema()))
                .name(topic)
                .uid(topic);
    }

    private static final class LatestRoute implements KafkaRecordDeserializationSchema<AdapterRoute> {
        private static final long serialVersionUID = 1L;

        private final JsonLines<Route> json = JsonLines.of(Route.class);

        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> change, Collector<AdapterRoute> out) throws IOException {
            String tenant = new String(change.key(), StandardCharsets.UTF_8);
            String stack =
                    change.value() == null ? null : json.read(change.value()).stack();
            out.collect(new AdapterRoute(tenant, stack, 0L, null));
        }

        @Override
        public TypeInformation<AdapterRoute> getProducedType() {
            return TypeInformation.of(AdapterRoute.class);
        }
    }
}
