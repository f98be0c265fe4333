package io.llamafu.examples.soak;

/** The promises that the soak test checks. */
enum Promise {
    EXACT_ANSWERS("every healthy record is answered exactly, under its stack"),
    ONE_OUTCOME("each record has one outcome: none is lost, none comes twice"),
    CODED_ERRORS("a hostile record yields what its kind allows: an answer, or one of its error codes"),
    ROUTE_CHANGES("each malformed route change is rejected, once"),
    CURRENT_ADAPTERS("an adapter that was published again answers with its new version"),
    TASK_MANAGERS("no TaskManager ends but those that are killed"),
    ONE_JOB("the job fails for no other reason than the kills, and ends when all is answered"),
    KILLS("the job runs again after each kill"),
    CHECKPOINTS("every checkpoint completes, unless a kill catches it"),
    FLAT_MEMORY("resident memory is flat after the warm-up"),
    CERTAIN_ANSWERS("the model gives the golden answers at all");

    private final String text;

    Promise(String text) {
        this.text = text;
    }

    String text() {
        return text;
    }
}
