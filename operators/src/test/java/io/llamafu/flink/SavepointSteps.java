package io.llamafu.flink;

import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * The events of the job whose savepoints are kept, in order. There is one step per checkpoint, and only empty steps
 * after the last, so that each step is completely in the state before the next one.
 */
final class SavepointSteps {
    private static final TypeInformation<Tuple4<String, String, String, Long>> STEP =
            Types.TUPLE(Types.STRING, Types.STRING, Types.STRING, Types.LONG);

    private final ArrayList<Tuple4<String, String, String, Long>> steps = new ArrayList<>();

    SavepointSteps route(String key, String stack, long time) {
        return add("route", key, stack, time);
    }

    /** Two variants that share the records evenly. */
    SavepointSteps variants(String key, String first, String second, long time) {
        return add("variants", key, first + "|" + second, time);
    }

    /** Named after its key pattern; an empty pattern is the default. */
    SavepointSteps rule(String keyPattern, String stack, long time) {
        return add("rule", keyPattern, stack, time);
    }

    SavepointSteps record(String key, String id, long time) {
        return add("record", key, id, time);
    }

    /** Of all streams. */
    SavepointSteps watermark(long time) {
        return add("watermark", "", "", time);
    }

    /** On all streams except that of the routes, so that records pass the rules and wait for the routes. */
    SavepointSteps watermarkOfRules(long time) {
        return add("watermark of rules", "", "", time);
    }

    /** Once all steps before it have reached the sinks. */
    SavepointSteps pause(Duration time) {
        return add("pause", "", "", time.toMillis());
    }

    private SavepointSteps add(String kind, String key, String value, long time) {
        steps.add(Tuple4.of(kind, key, value, time));
        return this;
    }

    /** The input streams of a completion. */
    record Streams(DataStream<Ticket> tickets, DataStream<AdapterRoute> routes, DataStream<RouteRule> rules) {}

    Streams streams(StreamExecutionEnvironment env) {
        ArrayList<Tuple4<String, String, String, Long>> all = steps;
        Tuple4<String, String, String, Long> empty = Tuple4.of("", "", "", 0L);
        GeneratorFunction<Long, Tuple4<String, String, String, Long>> generator = index -> {
            Tuple4<String, String, String, Long> step = index < all.size() ? all.get(index.intValue()) : empty;
            if (step.f0.equals("pause")) {
                Thread.sleep(step.f3);
            }
            return step;
        };
        DataStream<Tuple4<String, String, String, Long>> source = env.fromSource(
                        new DataGeneratorSource<>(
                                generator, Long.MAX_VALUE, RateLimiterStrategy.perCheckpoint(1), STEP),
                        WatermarkStrategy.noWatermarks(),
                        "steps")
                .uid("steps");
        DataStream<Tuple4<String, String, String, Long>> forRules =
                source.assignTimestampsAndWatermarks(watermarks(List.of("watermark", "watermark of rules")));
        DataStream<Tuple4<String, String, String, Long>> forRoutes =
                source.assignTimestampsAndWatermarks(watermarks(List.of("watermark")));
        return new Streams(
                forRules.filter(step -> step.f0.equals("record"))
                        .map(step -> new Ticket(step.f2, step.f1, Notes.text(0), step.f3)),
                forRoutes
                        .filter(step -> step.f0.equals("route") || step.f0.equals("variants"))
                        .map(SavepointSteps::toRoute),
                forRules.filter(step -> step.f0.equals("rule"))
                        .map(step ->
                                new RouteRule(step.f1, step.f1.isEmpty() ? null : step.f1, 0, step.f2, null, null)));
    }

    private static AdapterRoute toRoute(Tuple4<String, String, String, Long> step) {
        if (step.f0.equals("route")) {
            return new AdapterRoute(step.f1, step.f2.equals("null") ? null : step.f2, null, null);
        }
        String[] variants = step.f2.split("\\|", -1);
        return new AdapterRoute(
                step.f1, null, null, List.of(new RouteVariant(variants[0], 50), new RouteVariant(variants[1], 50)));
    }

    private static WatermarkStrategy<Tuple4<String, String, String, Long>> watermarks(List<String> kinds) {
        List<String> serializableKinds = new ArrayList<>(kinds);
        return WatermarkStrategy.<Tuple4<String, String, String, Long>>forGenerator(
                        context -> new StepWatermarks(serializableKinds))
                .withTimestampAssigner((step, time) -> step.f3);
    }

    private record StepWatermarks(List<String> kinds)
            implements WatermarkGenerator<Tuple4<String, String, String, Long>> {
        @Override
        public void onEvent(Tuple4<String, String, String, Long> step, long time, WatermarkOutput output) {
            if (kinds.contains(step.f0)) {
                output.emitWatermark(new Watermark(step.f3));
            }
        }

        @Override
        public void onPeriodicEmit(WatermarkOutput output) {}
    }
}
