package io.llamafu.flink;

import java.util.Objects;

/** A record as users have them: a POJO. */
public final class Ticket {
    public String id;
    public String tenant;
    public String text;
    public long time;

    public Ticket() {}

    Ticket(String id, String tenant, String text, long time) {
        this.id = id;
        this.tenant = tenant;
        this.text = text;
        this.time = time;
    }

    String id() {
        return id;
    }

    String tenant() {
        return tenant;
    }

    String text() {
        return text;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Ticket ticket && Objects.equals(id, ticket.id);
    }

    @Override
    public int hashCode() {
        return Objects.hashCode(id);
    }
}
