package io.llamafu.llamacpp;

import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Knows which cells hold the beginning of which prompt: those of running and of idle slots, and prefixes that are parked in cells
 * which no sequence needs. It keeps a prefix as long as there is room, the most recently used first. Plain bookkeeping, owned by
 * the decode thread.
 */
final class PrefixCache {
    /** What can be done with the cells of a prompt. */
    enum Sharing {
        /** Nothing: each prompt is prefilled whole. */
        NONE,
        /** The next sequence in their slot may use them. */
        IN_PLACE,
        /** They can be copied into other slots. */
        COPIES,
        /** And also be parked. */
        PARKED;

        boolean copies() {
            return this == COPIES || this == PARKED;
        }
    }

    /** A shorter prefix is not worth a copy, nor waiting for it. */
    static final int SHORTEST = 32;

    private final Sharing sharing;
    private final List<Slot> slots;
    private long uses;

    PrefixCache(Sharing sharing, int slots, int maxSequenceTokens) {
        this.sharing = sharing;
        this.slots = IntStream.range(0, slots)
                .mapToObj(index -> new Slot(index, maxSequenceTokens))
                .toList();
    }

    List<Slot> slots() {
        return slots;
    }

    Sharing sharing() {
        return sharing;
    }

    /**
     * The beginning of a prompt.
     *
     * @param tokens all but one of the prompt at most, because the last is always computed
     */
    record Prefix(PrefixSource source, int tokens) {}

    /** The longest prefix for a sequence; one in its own slot, which need not be copied, unless another is much longer. */
    Prefix longest(Sequence sequence) {
        Slot own = sequence.slot();
        Prefix inPlace = new Prefix(own, inPlace(sequence, own));
        if (!sharing.copies()) {
            return inPlace;
        }
        return sources()
                .filter(source -> source != own)
                .map(source -> new Prefix(source, common(sequence, source)))
                .filter(prefix -> prefix.tokens() >= inPlace.tokens() + SHORTEST)
                .filter(prefix -> prefix.source().reaches(own, prefix.tokens()))
                .max(Comparator.comparingInt(Prefix::tokens))
                .orElse(inPlace);
    }

    /** Notes that a sequence begins with a prefix. */
    void use(Prefix prefix) {
        prefix.source().shared(prefix.tokens(), ++uses);
    }

    /** How many leading tokens of a prompt a slot holds. */
    int inPlace(Sequence sequence, Slot slot) {
        return sharing == Sharing.NONE ? 0 : common(sequence, slot);
    }

    private static int common(Sequence sequence, PrefixSource source) {
        return Math.min(source.commonPrefix(sequence.prompt(), sequence.spans()), sequence.prompt().length - 1);
    }

    private Stream<PrefixSource> sources() {
        return Stream.concat(slots.stream(), parked());
    }

    private Stream<ParkedPrefix> parked() {
        return slots.stream().flatMap(slot -> slot.parked().stream());
    }

    /**
     * What is worth parking of a slot before its cells are overwritten, with a place for it. Least recently used prefixes give
     * way.
     *
     * @param next what the slot is to hold, which does not give way
     */
    Optional<ParkedPrefix> park(Slot slot, Prefix next) {
        if (sharing != Sharing.PARKED) {
            return Optional.empty();
        }
        int room = slots.stream()
                .mapToInt(holder -> holder.capacity() - holder.firstUnused())
                .max()
                .orElse(0);
        int count = Math.min(worthParking(slot, next.source() == slot ? next.tokens() : 0), room);
        if (count < SHORTEST) {
            return Optional.empty();
        }
        Optional<Slot> holder = holder(count);
        while (holder.isEmpty()) {
            Optional<ParkedPrefix> oldest = parked().filter(prefix -> prefix != next.source())
                    .min(Comparator.comparingLong(ParkedPrefix::lastUse));
            if (oldest.isEmpty()) {
                return Optional.empty();
            }
            oldest.get().holder().parked().remove(oldest.get());
            holder = holder(count);
        }
        return holder.map(
                found -> new ParkedPrefix(found, found.gap(count), slot.soundTokens(count), slot.spans(), ++uses));
    }

    /**
     * What other prompts began with is worth it, if nothing else holds it; and a long text, if most of it would be lost: it
     * may come again, and a copy costs far less than its prefill.
     */
    private int worthParking(Slot slot, int kept) {
        int sound = slot.sound();
        if (sound - kept < SHORTEST) {
            return 0;
        }
        int[] tokens = slot.soundTokens(sound);
        int held = sources()
                .filter(source -> source != slot)
                .mapToInt(source -> source.commonPrefix(tokens, slot.spans()))
                .max()
                .orElse(0);
        int lost = sound - Math.max(held, kept);
        if (lost >= SHORTEST && 2 * lost >= sound) {
            return sound;
        }
        return slot.shared() - Math.max(held, kept) >= SHORTEST ? slot.shared() : 0;
    }

    /** The slot that can grow most before it needs these cells. */
    private Optional<Slot> holder(int count) {
        return slots.stream()
                .filter(slot -> slot.gap(count) >= 0)
                .max(Comparator.comparingInt(slot -> slot.gap(count) - slot.firstUnused()));
    }
}
