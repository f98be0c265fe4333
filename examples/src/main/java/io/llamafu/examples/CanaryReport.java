package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;

import java.util.List;

/**
 * What became of the candidate.
 *
 * @param current the stack in production
 * @param candidate the stack that might replace it
 * @param decision {@code promoted}, {@code rolled back}, or {@code none}
 * @param currentAnswers tickets answered by the current stack
 * @param candidateAnswers tickets answered by the candidate
 * @param errors tickets without an answer, or answered by neither
 * @param lastWave the most recent tickets
 * @param lastByWinner how many of them were answered by the stack that was decided for
 */
record CanaryReport(
        String current,
        String candidate,
        String decision,
        int currentAnswers,
        int candidateAnswers,
        int errors,
        int lastWave,
        int lastByWinner)
        implements ExampleReport {
    static CanaryReport of(CanaryRule rule, List<EnrichedTicket> answers, List<CanaryRule> rules, int wave) {
        // The first is the rule that the canary began with.
        CanaryRule last = rules.isEmpty() ? rule : rules.get(rules.size() - 1);
        int byCurrent = by(rule.current(), answers);
        int byCandidate = by(rule.candidate(), answers);
        List<EnrichedTicket> recent = answers.subList(Math.max(0, answers.size() - wave), answers.size());
        return new CanaryReport(
                rule.current(),
                rule.candidate(),
                last.isDecided() ? (last.percent() == 100 ? "promoted" : "rolled back") : "none",
                byCurrent,
                byCandidate,
                answers.size() - byCurrent - byCandidate,
                recent.size(),
                last.isDecided() ? by(last.winner(), recent) : 0);
    }

    private static int by(String stack, List<EnrichedTicket> answers) {
        AdapterStack expected = AdapterStack.parse(stack);
        return (int) answers.stream()
                .filter(answer -> answer.label() != null)
                .filter(answer -> AdapterStack.parse(answer.stack()).equals(expected))
                .count();
    }

    @Override
    public boolean isSound() {
        return !decision.equals("none") && errors == 0 && lastWave > 0 && lastByWinner == lastWave;
    }
}
