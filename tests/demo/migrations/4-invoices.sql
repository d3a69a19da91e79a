-- A table that its owner creates later, without knowing of the reporting roles.
SET ROLE clinic_owner;
CREATE TABLE public.invoices (id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES public.patients, amount numeric NOT NULL);
INSERT INTO public.invoices VALUES (1, 1, 120), (2, 2, 80);
RESET ROLE;
