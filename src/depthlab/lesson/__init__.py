"""The lesson: five small trainings, and one page that shows with them why deep networks collapse."""
