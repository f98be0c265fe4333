package io.llamafu.examples;

import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;

import java.time.Duration;

/**
 * Emits a watermark after each ticket. Flink's own generator emits one every 200 ms, within which a whole file is read:
 * then all tickets would wait in state and be routed at once.
 */
final class TicketWatermarks implements WatermarkGenerator<Ticket> {
    /** The most by which tickets arrive late; see the README of the data. */
    private static final Duration OUT_OF_ORDERNESS = Duration.ofSeconds(2);

    private long newest = Long.MIN_VALUE + OUT_OF_ORDERNESS.toMillis() + 1;

    static WatermarkStrategy<Ticket> strategy() {
        return WatermarkStrategy.<Ticket>forGenerator(context -> new TicketWatermarks())
                .withTimestampAssigner((ticket, time) -> ticket.eventTime());
    }

    @Override
    public void onEvent(Ticket ticket, long time, WatermarkOutput output) {
        newest = Math.max(newest, time);
        output.emitWatermark(new Watermark(newest - OUT_OF_ORDERNESS.toMillis() - 1));
    }

    @Override
    public void onPeriodicEmit(WatermarkOutput output) {
        // Each ticket has emitted one.
    }
}
