package dev.kleinscope.ops;

/** The weights of one model, which a backend may give back before it closes: a text encoder's, once prompts are encoded. */
public interface WeightGroup extends AutoCloseable {

    /** Of a backend that computes with the mapped files: there is nothing to give back. */
    WeightGroup MAPPED = new WeightGroup() {
        @Override
        public boolean hold() {
            return true;
        }

        @Override
        public void spare() {
            // the files stay mapped
        }

        @Override
        public void close() {
            // the files stay mapped
        }
    };

    /** Keeps them from here on. @return false if they were given back already: the model must be made anew */
    boolean hold();

    /** Lets the backend give them back from here on, when memory is short. */
    void spare();

    /** Tells that other work comes between: their pages may go where memory is bounded, and come back by themselves. */
    default void pause() {
    }

    /** Tells that they may not be used again: their pages go, and come back by themselves if they are. */
    default void rest() {
    }

    /**
     * Tells what work with them will take.
     *
     * @param what the work, as messages name it
     * @param activationBytes memory of its activations
     * @throws MemoryShortageException if the memory that may be used cannot hold them; the message says how much is needed
     */
    default void reserve(String what, long activationBytes) {
    }

    /** Gives them back. */
    @Override
    void close();
}
