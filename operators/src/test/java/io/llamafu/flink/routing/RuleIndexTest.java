package io.llamafu.flink.routing;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;

/** A record asks few rules, however many there are. */
class RuleIndexTest {
    private static final class Watched extends RuleVersion {
        private static final long serialVersionUID = 1L;

        private final transient AtomicInteger looks;

        Watched(RuleVersion version, AtomicInteger looks) {
            super(
                    version.getValidFrom(),
                    version.getKeyPattern(),
                    version.getPosition(),
                    version.getStack(),
                    version.getVariants());
            this.looks = looks;
        }

        @Override
        public long getValidFrom() {
            if (looks != null) {
                looks.incrementAndGet();
            }
            return super.getValidFrom();
        }
    }

    private static void add(RuleIndex index, AtomicInteger looks, String pattern, int position, String stack) {
        Timeline timeline = Timeline.of(null);
        RuleVersion version = new Watched(new RuleVersion(0L, pattern, position, stack, null), looks);
        assertThat(timeline.add(version)).isEmpty();
        index.add(stack, version, timeline);
    }

    /** Bounds the rules that a record is compared with, rather than the time: few of 20,000 share the ends of its key. */
    @Test
    void recordAsksOnlyTheRulesWhosePatternsShareTheEndsOfItsKey() {
        int many = 10_000;
        AtomicInteger looks = new AtomicInteger();
        RuleIndex index = new RuleIndex();
        for (int i = 0; i < many; i++) {
            add(index, looks, "tenant-" + i, i, "stack-" + i);
            add(index, looks, "*-region-" + i, many + i, "region-" + i);
        }
        add(index, looks, null, 0, "formal");
        looks.set(0);

        for (int i = 0; i < many; i += 7) {
            assertThat(index.find("tenant-" + i, 0).map(RuleVersion::getStack)).hasValue("stack-" + i);
            assertThat(index.find("x-region-" + i, 0).map(RuleVersion::getStack))
                    .hasValue("region-" + i);
            assertThat(index.find("elsewhere", 0).map(RuleVersion::getStack)).hasValue("formal");
            assertThat(looks.getAndSet(0))
                    .as("rules asked for three keys, at most one for each length of its ends")
                    .isLessThanOrEqualTo(3 * Integer.toString(many).length());
        }
    }

    /** Whatever the index leaves out, a plain search of all rules finds the same. */
    @Test
    void indexFindsWhatASearchOfAllRulesFinds() {
        Random random = new Random(7);
        for (int round = 0; round < 300; round++) {
            RuleIndex index = new RuleIndex();
            List<Timeline> timelines = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                Timeline timeline = Timeline.of(null);
                timelines.add(timeline);
                String name = "rule-" + i;
                for (int version = random.nextInt(4); version >= 0; version--) {
                    RuleVersion added = new RuleVersion(
                            (long) random.nextInt(5),
                            random.nextInt(6) == 0 ? null : text(random, "ab*?", 4),
                            random.nextInt(3),
                            random.nextInt(4) == 0 ? null : name + "-" + version,
                            null);
                    timeline.add(added).ifPresent(replaced -> index.remove(name, replaced, timeline));
                    index.add(name, added, timeline);
                }
                timeline.trim(random.nextInt(4)).forEach(dropped -> index.remove(name, dropped, timeline));
            }
            for (int time = 0; time < 5; time++) {
                String key = text(random, "ab", 5);
                assertThat(index.find(key, time).map(RuleVersion::getStack))
                        .as("key %s at %s of %s", key, time, timelines)
                        .isEqualTo(search(timelines, key, time));
            }
        }
    }

    private static String text(Random random, String letters, int most) {
        StringBuilder text = new StringBuilder();
        for (int length = random.nextInt(most + 1); length > 0; length--) {
            text.append(letters.charAt(random.nextInt(letters.length())));
        }
        return text.toString();
    }

    private static Optional<String> search(List<Timeline> timelines, String key, long time) {
        RuleVersion found = null;
        for (Timeline timeline : timelines) {
            RuleVersion version = timeline.at(time).orElse(null);
            if (version == null || RuleBook.isRemoval(version)) {
                continue;
            }
            String pattern = version.getKeyPattern();
            if (pattern != null && !KeyPattern.of(pattern).matches(key)) {
                continue;
            }
            boolean isFirst = found == null
                    || ((pattern == null) == (found.getKeyPattern() == null)
                            && version.getPosition() < found.getPosition())
                    || (pattern != null && found.getKeyPattern() == null);
            if (isFirst) {
                found = version;
            }
        }
        return Optional.ofNullable(found).map(RuleVersion::getStack);
    }
}
