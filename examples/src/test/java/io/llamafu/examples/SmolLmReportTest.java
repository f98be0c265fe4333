package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import org.junit.jupiter.api.Test;

import java.time.Duration;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

class SmolLmReportTest {
    private static final List<DomainText> TEXTS = List.of(
            new DomainText("1", "sms", "win cash", "spam"),
            new DomainText("2", "sms", "see you", "ham"),
            new DomainText("3", "changes", "fix a crash", "fix"));

    @Test
    void accuracyIsCountedByDomain() {
        SmolLmReport.Run run =
                run(answer("1", "sms", "spam"), answer("2", "sms", "spam"), answer("3", "changes", "fix"));

        assertThat(run.accuracy()).containsEntry("sms", 0.5).containsEntry("changes", 1.0);
        assertThat(run.mean()).isEqualTo(0.75);
        assertThat(run.tokensPerSecond()).isEqualTo(6);
        assertThat(new SmolLmReport(3, List.of(run)).isSound()).isTrue();
    }

    @Test
    void missingFailedAndRepeatedAnswersAreErrors() {
        Answer failed = new Answer("2", "sms", "sms", List.of(), null, 0, 0, 0, 0, 0, "CODE", "why");
        SmolLmReport.Run run = run(answer("1", "sms", "spam"), answer("1", "sms", "spam"), failed);

        assertThat(run.errors()).isEqualTo(3);
        assertThat(new SmolLmReport(3, List.of(run)).isSound()).isFalse();
    }

    @Test
    void answerOfAnotherStackIsNotSound() {
        SmolLmReport.Run run =
                run(answer("1", "sms", "spam"), answer("2", "changes", "ham"), answer("3", "changes", "fix"));

        assertThat(run.wrongStacks()).isEqualTo(1);
        assertThat(new SmolLmReport(3, List.of(run)).isSound()).isFalse();
    }

    private static SmolLmReport.Run run(Answer... answers) {
        return SmolLmReport.Run.of("own adapter", TEXTS, DomainText::domain, List.of(answers), Duration.ofSeconds(4));
    }

    private static Answer answer(String id, String stack, String text) {
        List<Answer.Adapter> adapters = AdapterStack.parse(stack).entries().stream()
                .map(entry -> new Answer.Adapter(entry.name(), 1f, "00"))
                .toList();
        return new Answer(id, "key", stack, adapters, text, 7, 1, 1, 2, 3, null, null);
    }
}
