package io.llamafu.jllama;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/**
 * Lets one model of the process compute at a time. In llama.cpp b4916 the products of floats, which attention has with any
 * weights, deal their work with a counter that all models share (later versions have one for each): where two models compute
 * at once, parts of a product are left out, and answers are wrong without an error.
 *
 * <p>Requests of a model share its turn. The next turn is that of the model that has waited longest.
 */
final class ModelTurns {
    private static final long CHECK_MILLIS = 10;

    /** How many requests wait for each model, which come first in, first out. */
    private static final Map<Object, Integer> WAITING = new LinkedHashMap<>();

    private static Object current;
    private static int users;

    private ModelTurns() {}

    /**
     * Waits for the model's turn.
     *
     * @param isGivenUp whether nobody wants the answer any more
     * @return false if it was given up; otherwise the caller calls {@link #end} when the model no longer computes for it
     */
    static synchronized boolean begin(Object model, BooleanSupplier isGivenUp) {
        boolean interrupted = false;
        WAITING.merge(model, 1, Integer::sum);
        try {
            while (!isNext(model)) {
                if (isGivenUp.getAsBoolean()) {
                    return false;
                }
                try {
                    TimeUnit.MILLISECONDS.timedWait(ModelTurns.class, CHECK_MILLIS);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
            current = model;
            users++;
            return true;
        } finally {
            WAITING.computeIfPresent(model, (key, count) -> count == 1 ? null : count - 1);
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private static boolean isNext(Object model) {
        return (users == 0 || current == model) && WAITING.keySet().iterator().next() == model;
    }

    static synchronized int waitingModels() {
        return WAITING.size();
    }

    /** Ends what {@link #begin} began. */
    static synchronized void end() {
        users--;
        if (users == 0) {
            current = null;
            ModelTurns.class.notifyAll();
        }
    }
}
