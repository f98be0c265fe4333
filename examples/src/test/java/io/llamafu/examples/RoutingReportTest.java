package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import org.junit.jupiter.api.Test;

import java.time.Duration;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

class RoutingReportTest {
    private static final List<Ticket> TICKETS =
            List.of(ticket("T1", "medical", "flu"), ticket("T2", "medical:0.5+formal", "perhaps flu"));

    @Test
    void rightAnswersAreSoundAndExact() {
        RoutingReport report =
                report(answer("T2", "medical:0.5+formal", "perhaps flu"), answer("T1", "medical", "flu"));

        assertThat(report.isSound()).isTrue();
        assertThat(JsonLines.write(report))
                .isEqualTo(
                        "{\"records\":2,\"completions\":2,\"errors\":0,\"lost\":0,\"duplicates\":0,\"wrongStacks\":0,"
                                + "\"exactMatch\":1.0,\"stacks\":{\"medical\":{\"records\":1,\"exactMatch\":1.0},"
                                + "\"medical:0.5+formal\":{\"records\":1,\"exactMatch\":1.0}},"
                                + "\"tokensPerSecond\":1.5,\"seconds\":4.0}");
    }

    @Test
    void wrongAnswerIsSoundButNotExact() {
        RoutingReport report = report(answer("T1", "medical", "flu"), answer("T2", "medical:0.5+formal", "flu"));

        assertThat(report.isSound()).isTrue();
        assertThat(report.exactMatch()).isEqualTo(0.5);
        assertThat(report.stacks().get("medical:0.5+formal").exactMatch()).isZero();
    }

    @Test
    void lostTicketIsNotSound() {
        RoutingReport report = report(answer("T1", "medical", "flu"));

        assertThat(report.lost()).isEqualTo(1);
        assertThat(report.isSound()).isFalse();
    }

    @Test
    void secondAnswerAndAnswerOfNoTicketAreNotSound() {
        Answer first = answer("T1", "medical", "flu");
        Answer second = answer("T2", "medical:0.5+formal", "perhaps flu");

        assertThat(report(first, second, second).duplicates()).isEqualTo(1);
        assertThat(report(first, second, second).isSound()).isFalse();
        assertThat(report(first, second, answer("T3", "", "flu")).duplicates()).isEqualTo(1);
    }

    @Test
    void errorIsNotSound() {
        Answer error = new Answer("T2", "a", "medical:0.5+formal", List.of(), null, 0, 0, 0, 0, 0, "CODE", "why");
        RoutingReport report = report(answer("T1", "medical", "flu"), error);

        assertThat(report.errors()).isEqualTo(1);
        assertThat(report.completions()).isEqualTo(1);
        assertThat(report.isSound()).isFalse();
    }

    @Test
    void anotherStackIsNotSoundThoughTheAnswerIsRight() {
        Answer second = answer("T2", "medical:0.5+formal", "perhaps flu");

        assertThat(report(answer("T1", "medical:0.5", "flu"), second).wrongStacks())
                .isEqualTo(1);
        assertThat(report(answer("T1", "", "flu"), second).isSound()).isFalse();
        assertThat(report(answered("T1", "medical", "legal", "flu"), second).wrongStacks())
                .as("routed to the right stack, answered by another")
                .isEqualTo(1);
    }

    private static RoutingReport report(Answer... answers) {
        return RoutingReport.of(TICKETS, List.of(answers), Duration.ofSeconds(4));
    }

    private static Ticket ticket(String id, String stack, String expected) {
        return new Ticket(id, "a", 0, "some text", stack, expected);
    }

    private static Answer answer(String id, String stack, String text) {
        return answered(id, stack, stack, text);
    }

    private static Answer answered(String id, String route, String used, String text) {
        List<Answer.Adapter> adapters = AdapterStack.parse(used).entries().stream()
                .map(entry -> new Answer.Adapter(entry.name(), entry.scale().orElse(1f), "00"))
                .toList();
        return new Answer(id, "a", route, adapters, text, 5, 3, 1, 2, 3, null, null);
    }
}
