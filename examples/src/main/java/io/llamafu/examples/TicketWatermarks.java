package io.llamafu.examples;

import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;

import java.time.Duration;

/**
 * A watermark after each ticket. Flink's own generator works every 200 ms, in which a file is read to its end: then all
 * tickets wait in state and are routed at once. A watermark after each ticket lets them go as they come.
 */
final class TicketWatermarks implements WatermarkGenerator<Ticket> {
    /** Tickets arrive up to this late; see the README of the data. */
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
        // Each ticket has done it.
    }
}
